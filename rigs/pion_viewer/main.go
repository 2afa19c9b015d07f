// A WHEP viewer by pion, WebRTC in Go. Arguments: the address, and the number of pictures (of one RTP timestamp each) after
// which it hangs up. Prints a line of JSON: pictures, packets of each kind, and numbers that were missing.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"
)

type seen struct {
	Pictures int `json:"pictures"`
	Video    int `json:"video"`
	Audio    int `json:"audio"`
	Missing  int `json:"missing"`
}

func main() {
	address := os.Args[1]
	wanted, err := strconv.Atoi(os.Args[2])
	check(err)
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	check(err)
	video, audio := make(chan seen, 1000), make(chan int, 1000)
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if track.Kind() == webrtc.RTPCodecTypeVideo {
			watch(track, video)
		} else {
			listen(track, audio)
		}
	})
	receive := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		_, err = pc.AddTransceiverFromKind(kind, receive)
		check(err)
	}
	offer, err := pc.CreateOffer(nil)
	check(err)
	gathered := webrtc.GatheringCompletePromise(pc)
	check(pc.SetLocalDescription(offer))
	<-gathered
	response, err := http.Post(address, "application/sdp", strings.NewReader(pc.LocalDescription().SDP))
	check(err)
	answer, err := io.ReadAll(response.Body)
	check(err)
	if response.StatusCode != http.StatusCreated {
		log.Fatalf("%s: %s", response.Status, answer)
	}
	check(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}))
	sound, picture := 0, seen{}
	for picture.Pictures < wanted {
		select {
		case picture = <-video:
		case sound = <-audio:
		}
	}
	picture.Audio = sound
	session, err := response.Location()
	check(err)
	request, err := http.NewRequest(http.MethodDelete, session.String(), nil)
	check(err)
	_, err = http.DefaultClient.Do(request)
	check(err)
	check(pc.Close())
	check(json.NewEncoder(os.Stdout).Encode(picture))
}

func watch(track *webrtc.TrackRemote, told chan<- seen) {
	now, timestamp, next := seen{}, uint32(0), uint16(0)
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if now.Video > 0 {
			now.Missing += int(packet.SequenceNumber - next)
		}
		if now.Video == 0 || packet.Timestamp != timestamp {
			now.Pictures++
		}
		now.Video++
		timestamp, next = packet.Timestamp, packet.SequenceNumber+1
		told <- now
	}
}

func listen(track *webrtc.TrackRemote, told chan<- int) {
	for count := 1; ; count++ {
		if _, _, err := track.ReadRTP(); err != nil {
			return
		}
		told <- count
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
