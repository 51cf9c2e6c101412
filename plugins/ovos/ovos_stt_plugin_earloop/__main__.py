"""`python -m ovos_stt_plugin_earloop http://server:2700`: what there is to agree to, before anybody agrees."""

from .earloop.words import main

main()
