# The command line in a container, for watch.yaml.
FROM python:3.11-slim
COPY . /client
RUN pip install --no-cache-dir '/client[watch]' && install -d -o 1000 -g 1000 /state
ENTRYPOINT ["captionbox"]
