// Package version says which version this program is.
package version

import "runtime/debug"

// String is the module's version, or devel.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
