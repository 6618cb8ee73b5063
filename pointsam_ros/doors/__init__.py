"""Where clouds, clicks, requests and goals come in, each answered or refused there."""
