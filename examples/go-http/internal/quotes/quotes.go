// Package quotes holds a few Go proverbs.
package quotes

var proverbs = []string{
	"Clear is better than clever.",
	"Errors are values.",
	"A little copying is better than a little dependency.",
}

// At returns the proverb of that number, counted from one and around the end.
func At(number int) string {
	index := (number - 1) % len(proverbs)
	if index < 0 {
		index += len(proverbs)
	}
	return proverbs[index]
}
