"""What is kept of what people say, if they agreed: their consent, the recorder, intake, withdrawal."""
