package greeting

import "testing"

func TestOf(t *testing.T) {
	if Of("Ada") != "Welcome aboard, Ada." {
		t.Fatal(Of("Ada"))
	}
}
