"""OpenAI's chat completions, as far as a captioner can honour them."""
