"""What `javis` and `python -m javis` run."""

from __future__ import annotations

from javis.core.pages import use_huge_pages


def main() -> None:
    """Run a command. Its libraries are imported after the process may have started over."""
    use_huge_pages()
    from javis.cli import main as run

    run()


if __name__ == "__main__":
    main()
