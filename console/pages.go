package console

import "net/http"

type pages struct{}

func loadPages() (*pages, error)                 { return &pages{}, nil }
func (s *Server) handlePages(mux *http.ServeMux) {}
