# The server, on a CPU: docker build -t vqvae . && docker run --rm -p 127.0.0.1:8000:8000 -e VQVAE_TOKEN=... -v "$PWD/runs:/runs:ro" vqvae /runs/demo
FROM python:3.12-slim-bookworm

RUN useradd --create-home serve
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# torch first, for CPUs alone and pinned: nothing after it may bring another one.
RUN pip install --no-cache-dir -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu torch \
    && pip install --no-cache-dir -c constraints.txt ".[audio,fast,serve,video]"

USER serve
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/ready', timeout=5)"
ENTRYPOINT ["vqvae", "serve", "--host", "0.0.0.0"]
