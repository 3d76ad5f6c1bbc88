"""Is the challenger better, and no worse anywhere else?"""
