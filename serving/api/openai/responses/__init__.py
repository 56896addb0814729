"""OpenAI's responses, as far as a captioner can honour them."""
