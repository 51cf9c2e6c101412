# The trainer's image: a worker that does training jobs, beside a server on the same volume. Build it from the
# repository's root:  docker build -f docker/trainer.Dockerfile -t earloop-trainer .
# DEVICE=gpu and an empty TORCH_INDEX_URL make one for NVIDIA's GPUs. All about it: docker/README.md.

ARG BASE=python:3.11-slim-bookworm

# What is to be installed, as a file that changes only when a dependency does.
FROM ${BASE} AS requirements
ARG DEVICE=cpu
ARG EXTRAS="kenlm reference av train"
COPY pyproject.toml docker/requirements.py /
RUN python /requirements.py /pyproject.toml ${DEVICE} ${EXTRAS} > /requirements.txt

# The dependencies in a virtual environment without pip. kenlm is published as source only and wants g++ and make.
FROM ${BASE} AS environment
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /opt/earloop
ARG PIP_INDEX_URL=
# PyPI's torch brings 3 GB of CUDA; the one of this index is for processors alone, and pip prefers its `+cpu`.
ARG TORCH=2.13.0
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY --from=requirements /requirements.txt /
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/earloop/bin/python install --requirement /requirements.txt torch==${TORCH} \
        ${TORCH_INDEX_URL:+--extra-index-url ${TORCH_INDEX_URL}}

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
ARG DEVICE=cpu
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="Earloop trainer (${DEVICE})" \
      org.opencontainers.image.description="Trains the models of an Earloop server on what people validated" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

# The voices of replay, of kits and of golden clips.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends espeak-ng flite \
    && rm -rf /var/lib/apt/lists/*
ENV ORT_DISABLE_TELEMETRY=1
COPY --from=environment /opt/earloop /opt/earloop
# An image that cannot look for a job, hear its model's golden clip or speak is not built. /data belongs to the server's
# user, for both write into one volume.
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    python -m pip --python /opt/earloop/bin/python install --no-cache-dir --no-index --no-deps /wheels/*.whl \
    && /opt/earloop/bin/earloop models verify en-small \
    && EARLOOP_DATA=/tmp/state /opt/earloop/bin/earloop worker --once \
    && /opt/earloop/bin/python -c 'import torch, onnx, onnxscript, matplotlib, jinja2' \
    && espeak-ng --stdout ready > /dev/null && flite -t ready -o /dev/null \
    && rm -rf /tmp/state \
    && install --directory --owner=10001 --group=0 --mode=0770 /data

# HOME: torch, matplotlib and flite ask for one; nothing is kept there.
ENV PATH=/opt/earloop/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    EARLOOP_DATA=/data

USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["earloop"]
CMD ["worker"]
