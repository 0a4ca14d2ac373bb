"""Messages and texts to ids and back: tokenizer, chat template, detokenizer."""
