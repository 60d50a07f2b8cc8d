//go:build darwin || freebsd

package main

import "golang.org/x/sys/unix"

// uidBehind is the user at the other end of a Unix socket.
func uidBehind(fd int) (uint32, error) {
	const local = 0 // SOL_LOCAL, which not every system's table has by name
	cred, err := unix.GetsockoptXucred(fd, local, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
