package quotes

import "testing"

func TestNumbersGoAroundTheEnd(t *testing.T) {
	if At(1) != At(4) || At(3) != At(0) {
		t.Fatal("quotes do not go around")
	}
}
