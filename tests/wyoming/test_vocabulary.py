"""The port's own vocabulary: what its clients, who have no key, hear by default."""

from stt_server.messages import Open
from stt_server.store import vocabularies
from stt_server.store.ring import now
from tests.engine.toy import loud
from tests.web.listener import Listener

KEY = "0123456789abcdef"


class Noting(Listener):
    asked: Open | None = None

    def open(self, options: Open):
        self.asked = options
        return super().open(options)


async def put(served, key: str, name: str, *names: str) -> None:
    body = {"mode": "hotwords", "entities": {"room": [{"name": each} for each in names]}}

    def write(database) -> None:
        with database.write() as connection:
            vocabularies.put(connection, key, name, body, now())

    await served.services.store.run(write)
    await served.services.vocabularies.renewed()


async def hears(served, noting) -> tuple[str, ...]:
    async with served.client() as client:
        assert await client.request(loud(2)) == "la la"
    assert noting.asked is not None
    return (*noting.asked.hotwords, *noting.asked.hints)


async def test_the_ports_clients_hear_the_vocabulary_of_its_setting_as_it_is_now(start):
    noting = Noting()
    served = await start(noting, wyoming_vocabulary="home")
    await put(served, KEY, "home", "attic")
    assert await hears(served, noting) == ()  # it is a key's own, and no shared one is there: no client fails for that
    await put(served, "", "home", "den")
    assert await hears(served, noting) == ("den",)
    await put(served, "", "home", "den", "cellar")
    assert await hears(served, noting) == ("den", "cellar")


async def test_a_setting_may_name_the_vocabulary_of_a_key(start):
    noting = Noting()
    served = await start(noting, wyoming_vocabulary=f"{KEY}/home")
    await put(served, KEY, "home", "attic")
    assert await hears(served, noting) == ("attic",)
