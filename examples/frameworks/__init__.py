"""One small application for each framework, each watched: `uvicorn starlette_app:app` in this folder serves one."""
