"""The entry points for clouds, clicks, requests and goals; each is answered or refused there."""
