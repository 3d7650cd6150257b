"""Trainings on workers: here, on Dask, on SLURM, or over MPI; see README.md."""
