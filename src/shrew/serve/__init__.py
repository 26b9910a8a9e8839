"""The chat protocol of docs/PROTOCOL.md on a computer: page, WebSocket, OpenAI's endpoint, uploads.

Everything but the engine's steps runs on one event loop; each session's steps run on a thread of a pool, and the loop
hears of them through :class:`~shrew.serve.answering.Request`.
"""
