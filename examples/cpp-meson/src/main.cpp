// Prints what a database in memory says.
#include <iostream>

#include <sqlite3.h>

int main() {
    sqlite3* database = nullptr;
    sqlite3_stmt* query = nullptr;
    if (sqlite3_open(":memory:", &database) != SQLITE_OK ||
        sqlite3_prepare_v2(database, "select 'SQLite counts to ' || sum(2)", -1, &query, nullptr) != SQLITE_OK ||
        sqlite3_step(query) != SQLITE_ROW) {
        return 1;
    }
    std::cout << sqlite3_column_text(query, 0) << '\n';
    sqlite3_finalize(query);
    sqlite3_close(database);
}
