"""Words that a language model of everyday commands hardly has, and sentences that they may stand in."""

from __future__ import annotations

from typing import Final

RARE: Final = tuple(
    "bergamot tamarind kestrel marzipan gazebo labyrinth zeppelin saffron tarantula mandolin origami pergola sextant "
    "tundra vermilion wolverine obelisk palindrome trellis quasar nebula falcon marmalade gondola avocado turnip "
    "parsnip bassoon oboe clarinet harpsichord tambourine lantern flagpole greenhouse orchid magnolia lavender juniper "
    "hazelnut pistachio cinnamon cardamom turmeric paprika oregano raspberry gooseberry mackerel herring haddock "
    "lobster badger hedgehog squirrel peacock flamingo pelican cormorant albatross walrus octopus barnacle "
    "chandelier banister parquet linoleum sideboard ottoman hammock umbrella binoculars telescope thermostat".split()
)
CARRIERS: Final = (
    "where did you put the {}",
    "remind me to buy a {} tomorrow",
    "show me a picture of the {} please",
)
