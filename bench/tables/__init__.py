"""From numbers to tables and sentences, each once for terminal, Markdown, CSV and page."""
