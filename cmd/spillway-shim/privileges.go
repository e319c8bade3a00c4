package main

import (
	"fmt"
	"syscall"

	"github.com/spillway/spillway/internal/config"
)

// dropPrivileges becomes the user and the group of the options, and gives up
// the supplementary groups, which would otherwise be those of containerd's
// shim.
func dropPrivileges(o config.Shim) error {
	if o.UID < 0 && o.GID < 0 {
		return nil
	}
	groups := []int{}
	if o.GID >= 0 {
		groups = append(groups, o.GID)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("give up the supplementary groups for --uid %d --gid %d: %w; only root may", o.UID, o.GID, err)
	}
	if o.GID >= 0 {
		if err := syscall.Setresgid(o.GID, o.GID, o.GID); err != nil {
			return fmt.Errorf("become group %d: %w; only root may", o.GID, err)
		}
	}
	if o.UID >= 0 {
		if err := syscall.Setresuid(o.UID, o.UID, o.UID); err != nil {
			return fmt.Errorf("become user %d: %w; only root may", o.UID, err)
		}
	}
	return nil
}
