"""`vit-gpt2`: a vision transformer that GPT-2 looks at."""
