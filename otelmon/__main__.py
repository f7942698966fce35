"""`python -m otelmon` is the `otelmon` command."""

from otelmon.cli.main import app

if __name__ == "__main__":
    app()
