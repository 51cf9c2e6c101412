import json

import pytest

from tests.protocols.conversation import Conversation, conversations, played


@pytest.mark.parametrize("conversation", conversations(), ids=lambda conversation: conversation.name)
def test_a_recorded_conversation_replays_byte_for_byte(conversation: Conversation):
    codec = conversation.new_codec()
    for step in conversation.steps:
        assert played(codec, step) == step


@pytest.mark.parametrize("conversation", conversations(), ids=lambda conversation: conversation.name)
def test_what_is_on_the_wire_is_json(conversation: Conversation):
    for step in conversation.steps:
        for message in step["wire"]:
            if conversation.codec == "deepspeech" or message == "Done!":
                continue  # plain text
            assert isinstance(json.loads(message), dict)
