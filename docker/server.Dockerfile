# The server's image. Build it from the repository's root:  docker build -f docker/server.Dockerfile -t earloop-server .
# What it is for, how to run and upgrade it: docker/README.md.

ARG BASE=python:3.11-slim-bookworm

# What is to be installed, as a file that changes only when a dependency does: a stage that copies it is built again
# for a new dependency, not for every edit of pyproject.toml.
FROM ${BASE} AS requirements
ARG EXTRAS="cpu kenlm reference av"
COPY pyproject.toml docker/requirements.py /
RUN python /requirements.py /pyproject.toml ${EXTRAS} > /requirements.txt

# The dependencies in a virtual environment without pip. kenlm is published as source only and wants g++ and make.
FROM ${BASE} AS environment
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /opt/earloop
ARG PIP_INDEX_URL=
COPY --from=requirements /requirements.txt /
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/earloop/bin/python install --requirement /requirements.txt \
    && find /opt/earloop/lib -type d -name tests -prune -exec rm -r {} + \
    && find /opt/earloop/lib -name '*.cpython-*.so' -exec strip --strip-debug {} + \
    && find /opt/earloop/lib -name '*.abi3.so' -exec strip --strip-debug {} +

# Our own code as a wheel, and the native search of the decoder, which wants the compiler.
FROM environment AS wheel
ARG PIP_INDEX_URL=
WORKDIR /source
COPY pyproject.toml README.md ./
COPY stt_server stt_server
COPY training training
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip wheel --no-deps --wheel-dir /wheels .

FROM ${BASE}
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="Earloop server" \
      org.opencontainers.image.description="Speech to text for voice assistants, while it is being spoken" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

# onnxruntime's published builds (1.29 and later) otherwise report their use to its maker.
ENV ORT_DISABLE_TELEMETRY=1
COPY --from=environment /opt/earloop /opt/earloop
COPY docker/healthcheck.py /opt/earloop/
# An image that lacks a module to serve with, or does not hear its model's golden clip, is not built. Everything is
# byte-compiled here, the base's standard library too, because nothing can be written later. /data belongs to the group 0
# as well, which is the group of any user that `docker run --user NUMBER` makes up.
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    python -m pip --python /opt/earloop/bin/python install --no-cache-dir --no-index --no-deps /wheels/*.whl \
    && /opt/earloop/bin/earloop serve --help > /dev/null \
    && /opt/earloop/bin/earloop models verify en-small \
    && python -m compileall -q -x '/(test|tests|site-packages|lib2to3|idlelib|ensurepip)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && install --directory --owner=10001 --group=0 --mode=0770 /data

# OPENBLAS_NUM_THREADS: else numpy starts a thread for every core of the host at each `docker exec`, and none has work.
ENV PATH=/opt/earloop/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    EARLOOP_HOST=0.0.0.0 \
    EARLOOP_PORT=2700 \
    EARLOOP_DATA=/data

# Without a name or a home: nothing in the image is owned by this user but /data.
USER 10001:10001
VOLUME /data
# Wyoming's port knows no keys: inside the container it opens where EARLOOP_WYOMING_HOST=0.0.0.0 says so.
EXPOSE 2700
EXPOSE 10300
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-I", "-S", "/opt/earloop/healthcheck.py"]
ENTRYPOINT ["earloop"]
CMD ["serve"]
