"""What both plugins share: speech to an Earloop server and back as text, for a program that has threads and no loop.

| module | what |
| --- | --- |
| `settings.py` | the plugin's section of the assistant's configuration |
| `failures.py` | what can go wrong, in kinds that Mycroft and OVOS tell apart |
| `wire.py` | one connection of the native protocol |
| `utterance.py` | one utterance over as many connections as it takes, by a deadline |
| `ears.py` | what an assistant's speech-to-text class needs, streaming or not |
| `vocabulary.py` | hotwords from the assistant's own files |
| `consent.py` | the assistant's opt-in, carried to the server and taken back |
| `words.py` | shows the words to agree to |

Only `requests` and `websocket-client` are needed, which every Mycroft and OVOS has. It runs on Python 3.8.
"""
