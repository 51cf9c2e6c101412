"""Names and sentences that an assistant's streams are to hear: written as a document, compiled, followed; README.md."""
