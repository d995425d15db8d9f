// Package greeting says what every ferry says.
package greeting

// Of is the greeting for a passenger.
func Of(name string) string { return "Welcome aboard, " + name + "." }
