"""What is found out about trained models, a folder for each kind of question."""
