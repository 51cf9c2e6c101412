"""Changes that make a clip sound like other rooms, microphones, distances, lines and speakers.

Each is a plain function on 16 kHz samples (n,) float32, in a module with its kin:

    keys        the recipe's sections `augmentation` and `calm`
    chain       draws what happens to a clip, and makes it
    timing speaker rooms noise level lines      the changes
    masks       stripes of features that are blanked
    spectrum    short-time spectra and filters

Every draw comes from the caller's generator, so an epoch is repeatable. Silence, one sample and no sample at all come
back finite.
"""
