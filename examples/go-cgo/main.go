// Command ledger keeps a ledger in SQLite, which is C, and compresses its name with zlib.
package main

// #cgo pkg-config: zlib
// #include <zlib.h>
import "C"

import (
	"database/sql"
	"fmt"

	_ "github.com/mattn/go-sqlite3"
)

func main() {
	ledger, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		panic(err)
	}
	if _, err := ledger.Exec("create table entries (amount int); insert into entries values (40), (2)"); err != nil {
		panic(err)
	}
	var sum int
	if err := ledger.QueryRow("select sum(amount) from entries").Scan(&sum); err != nil {
		panic(err)
	}
	fmt.Printf("The sum is %d, says SQLite beside zlib %s.\n", sum, C.GoString(C.zlibVersion())[:1])
}
