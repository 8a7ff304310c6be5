"""Forward connections, delayed in each direction: ``delaying.py HOST PORT SECONDS``; prints the port it listens on."""

import asyncio
import contextlib
import sys


async def main() -> None:
    """Serve until the process is ended."""
    host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

    async def serve(near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far, far_out = await asyncio.open_connection(host, port)
        await asyncio.gather(_forward(near, far_out, seconds), _forward(far, near_out, seconds))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter, seconds: float) -> None:
    """Send each piece later by the delay; pieces overtake neither one another nor the end."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65_536):
            if seconds:
                loop.call_later(seconds, target.write, data)
            else:
                target.write(data)
    loop.call_later(seconds, target.close)


if __name__ == "__main__":
    asyncio.run(main())
