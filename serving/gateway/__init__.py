"""The gateway's work: who may enter, what the engine is asked, what is answered."""
