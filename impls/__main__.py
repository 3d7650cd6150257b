"""`python -m impls`: the backends, what each is, or why it is not available."""

import impls


def main() -> None:
    """List the backends in ladder order."""
    for name in impls.names():
        reason = impls.unavailable_reason(name)
        if reason is not None:
            print(f"{name:12} unavailable: {reason}")
            continue
        backend = impls.load(name)
        home = "full batch" if backend.HOME is None else f"batches of {backend.HOME}"
        print(f"{name:12} {backend.SUMMARY}; {', '.join(backend.DTYPES)}; at home with {home}")


if __name__ == "__main__":
    main()
