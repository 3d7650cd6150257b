"""What is trained, as data: plans, cases, recipes, the article's settings."""
