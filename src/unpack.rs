//! Writes the entries of archives below one folder and nowhere else.
