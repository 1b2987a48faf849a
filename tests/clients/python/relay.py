"""Two aioice connections of one room meet through the relay only: what do they hear of each other?

    relay.py SERVERS TRANSPORT    SERVERS: the answers of `konsil token --ice` for both, as a JSON list

Prints {"pairs": [...], "heard": [...]}.
"""

import asyncio
import json
import ssl
import sys

import aioice

PATIENCE = 20
PACKETS = 20


def connection(ice, transport, controlling):
    """An ICE agent that knows no other way than the relay by `transport`: udp, tcp or tls."""
    server = ice["iceServers"][0]
    wanted = {
        "udp": lambda url: url.endswith("transport=udp"),
        "tcp": lambda url: url.startswith("turn:") and url.endswith("transport=tcp"),
        "tls": lambda url: url.startswith("turns:"),
    }[transport]
    url = next(url for url in server["urls"] if wanted(url))
    host, port = url.split(":", 1)[1].split("?")[0].rsplit(":", 1)
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    return aioice.Connection(
        ice_controlling=controlling,
        turn_server=("127.0.0.1" if host == "localhost" else host, int(port)),
        turn_username=server["username"],
        turn_password=server["credential"],
        turn_transport="udp" if transport == "udp" else "tcp",
        turn_ssl=trusting if transport == "tls" else False,
        transport_policy=aioice.TransportPolicy.RELAY,
    )


async def introduce(one, other):
    await one.gather_candidates()
    for candidate in one.local_candidates:
        assert candidate.type == "relay", candidate
        await other.add_remote_candidate(candidate)
    await other.add_remote_candidate(None)
    other.remote_username, other.remote_password = one.local_username, one.local_password


async def listen(agent):
    heard = []
    while len(heard) < PACKETS:
        heard.append((await agent.recv()).decode())
    return heard


async def main(servers, transport):
    agents = [connection(ice, transport, number == 0) for number, ice in enumerate(servers)]
    await asyncio.gather(introduce(agents[0], agents[1]), introduce(agents[1], agents[0]))
    await asyncio.gather(*(agent.connect() for agent in agents))
    pairs = [agent._nominated[1] for agent in agents]
    listening = [asyncio.create_task(listen(agent)) for agent in agents]
    for number in range(PACKETS):
        for name, agent in zip("ab", agents):
            await agent.send(f"{name} {number}".encode())
    heard = await asyncio.gather(*listening)
    await asyncio.gather(*(agent.close() for agent in agents))
    types = [[pair.local_candidate.type, pair.remote_candidate.type] for pair in pairs]
    print(json.dumps({"pairs": types, "heard": heard}))


asyncio.run(asyncio.wait_for(main(json.loads(sys.argv[1]), sys.argv[2]), PATIENCE))
