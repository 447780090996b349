# docker build -t dmagnet .
# docker run --rm -v "$PWD:/work" dmagnet classify galaxies/ -o classes.ecsv
# The page, for this machine alone:
# docker run --rm -p 127.0.0.1:7860:7860 dmagnet app --host 0.0.0.0 --port 7860
FROM python:3.11-slim
# For another index of packages, or torch for the CPU alone: --build-arg PIP_ARGS="..."
ARG PIP_ARGS=""
WORKDIR /opt/dmagnet
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir $PIP_ARGS -c constraints.txt '.[app,astro,export,hub,video]'
RUN useradd --create-home astronomer
USER astronomer
WORKDIR /work
ENTRYPOINT ["dmagnet"]
