"""A robot arm that pushes objects about a walled table: MuJoCo with the Fetch arm of gymnasium-robotics.

Of gymnasium-robotics only the asset files (meshes and the arm's XML) are used; the package is never imported.
"""
