"""What people run instead, written as its documentation says; run in environments of their own."""
