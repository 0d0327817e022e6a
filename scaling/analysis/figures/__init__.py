"""The paper's figures and tables, drawn from study folders in the paper's form."""
