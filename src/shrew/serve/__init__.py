"""The chat protocol of docs/PROTOCOL.md on a computer: page, WebSocket, OpenAI endpoint, uploads.

Everything except the engine's steps runs on one event loop. Each session's steps run on a thread of a pool, which
reports to the loop through :class:`~shrew.serve.answering.Request`.
"""
