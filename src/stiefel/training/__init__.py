"""Recipe → run: TRL's GRPOTrainer, made right for these adapters."""
