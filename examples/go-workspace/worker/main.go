// Command worker greets one passenger.
package main

import "fmt"

func main() { fmt.Println("The worker has nothing to do.") }
